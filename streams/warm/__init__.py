"""The warm path: what crosses accounts, hosted by Faust.

Pure steps stand in `features/` and `models/` and in the files here that say so; Faust itself is touched in
`faust_app.py`, `worker.py` and the files that end in `_agent.py`.
"""
