"""The page "Livestreams" of Airflow's UI: its declaration, and the app that serves its modules. No data."""
