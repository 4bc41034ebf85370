"""HTTP: connections, parsing, retries and deadlines."""
