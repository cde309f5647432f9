"""The video of a job: the picture, the process that encodes and publishes it, and the state of its link."""
