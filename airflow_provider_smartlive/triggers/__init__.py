"""
Triggers: wait for a job, or for a state of its stream, without a worker.

A callback resumes a waiting task from the API server, past its trigger. The triggers here are what stands
behind that: they read the callback table once, shortly after they start, ask MetaStudio now and then through the
shared reconciler, and stop the job when its time is over or the task is killed.
"""

from airflow_provider_smartlive.triggers.event import SmartLiveEventTrigger
from airflow_provider_smartlive.triggers.job import SmartLiveJobTrigger
from airflow_provider_smartlive.triggers.stream import SmartLiveStreamTrigger

__all__ = ["SmartLiveEventTrigger", "SmartLiveJobTrigger", "SmartLiveStreamTrigger"]
