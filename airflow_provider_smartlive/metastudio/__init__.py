"""The vendor's contract: requests, answers, events, errors and signatures. Pure: no Airflow, no I/O."""
