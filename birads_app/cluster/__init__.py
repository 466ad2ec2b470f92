"""Work on many machines, or on all cores of this one, by Dask."""
