"""Looking for bytes in whatever holds data of a version: one file a kind of store. Nothing here changes anything."""
