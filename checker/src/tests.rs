mod admission;
mod evictions;
