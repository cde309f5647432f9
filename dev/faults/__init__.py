"""
The fault harness: real Airflow processes, a local MetaStudio, and a seeded schedule of what goes wrong.

``python -m dev.faults`` (``make faults``) plays it and counts, from the sandbox's records and Airflow's API only,
what the provider promises. How it works: ``docs/faults.md``.
"""
