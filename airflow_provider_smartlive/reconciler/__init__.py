"""
One poller per event loop and connection, shared by the triggers that wait there.

Asking MetaStudio is only the safety net behind the callbacks, so it must cost next to nothing: streams are asked for
in pages of active jobs, not one by one. What one poller promises, and how (figures in docs/scaling.md):

* It sends at most five requests a second, one after the other, and none for a while after MetaStudio has refused the
  credentials or throttled.
* Every job is asked for within its interval (of 5 s at least), and an END whose every callback was lost is seen in
  that time, as long as the list of active jobs takes less than an eighth of it. Jobs that have left that list are
  looked for in pages of the jobs that were finished last; only a few, and those that are not found there, are shown
  one by one.
* Looking at the active jobs, catching up with those that have left, and searching for a job whose room is not known
  take turns, request by request: none of them can keep another waiting. What met a fault that may pass is asked again
  in turns of its own, so that a request that hangs holds up the others for one time-out at most.
* A watch that has heard nothing for twice its interval and a minute says so by itself: a failure budget counts by
  the clock, also if the poller stands still.
"""
