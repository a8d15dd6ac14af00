"""The way through: Prefect flows and thin tasks over plain functions. The only room that knows where things lie."""
