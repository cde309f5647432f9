"""The commands of ``airflow smartlive``, whose work is imported when one is called."""
