"""The database: one engine, its column types, its migrations."""
