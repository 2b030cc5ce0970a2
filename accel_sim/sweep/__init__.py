"""Many points: machines, networks and widths, each simulated once, wherever there is room.

A point needs up to three jobs (`runner`): find the order of additions, where accumulators
saturate; run the network exactly, unless another point or the folder of exact runs (`exact_cache`)
has these integers; and price the machine. `dispatch` hands them out as they become possible, to
this process, to others on the host (`workers`), or to a Dask cluster (`dask_workers`).
"""
