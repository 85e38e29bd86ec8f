"""The console: what the engine does, for the person on call and the analyst, as pages of a small web server.

A background task follows topics without a group and keeps a bounded picture of them in memory (`picture`, and the books
it is made of). Views are pure functions from the picture to what a page shows; templates put that into HTML; `server`
and `routes_*` are the thin HTTP shell. What an analyst does is written to the audit topic first and then done
(`audit`, `actions`).
"""
