-- The order of use is held in memory, read once at opening: an index cost each write more than the row itself.
DROP INDEX memory_by_use;
