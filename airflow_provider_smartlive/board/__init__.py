"""The page "Livestreams" of Airflow's UI, and the app that serves its modules. No data."""
