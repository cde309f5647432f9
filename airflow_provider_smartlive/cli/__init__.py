"""``airflow smartlive ...``: what the commands are. What they do is imported when one of them is called."""
