"""The same job on other streaming libraries, each written as its own documentation would have it.

These modules run in an environment of their own (`requirements.txt`), never in the product's, and import nothing of
the product. `job` is the work itself; the others host it: `in_memory` without a broker, `plain` on a bare client,
`quix`, `faust` and `bytewax` on the library of that name.
"""
