"""A local MetaStudio: REST API, real RTMP links, signed callbacks. No account, no Airflow."""
