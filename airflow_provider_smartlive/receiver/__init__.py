"""The server that MetaStudio calls, in Airflow's API server: verifies events, stores them, and wakes tasks."""
