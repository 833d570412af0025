"""An export's tasks on a Spark cluster, through Spark Connect (decision 0024).

`order`: what a task is told and answers · `task`: what runs on the cluster · `session`: Spark's client · `tail`: movements
that are not sealed, for tasks without the ledger · `executor`: the driver's side. Nothing of pyspark is imported before
the first export runs there.
"""
