"""What users' own tests need: fixtures, and a DAG that runs to its end inside a test's process."""
