"""MetaStudio's contract: requests, answers, events, errors, signatures. Pure: no Airflow, no I/O."""
