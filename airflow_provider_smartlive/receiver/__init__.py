"""The server that MetaStudio calls, in Airflow's API server: verifies and stores events, wakes tasks."""
