"""Reading raw inputs: what kind of file it is, how many items it holds, and the items themselves."""
