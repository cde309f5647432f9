"""A local MetaStudio: REST API, real RTMP links and signed callbacks, without an account, without Airflow."""
