"""The job table, publishing, notices and the object store."""
