-- Only after SQL's commit. The tombstone answers at once what SQL would; losing it loses nothing.
redis.call('DEL', KEYS[1])
redis.pcall('HSET', KEYS[1], 'x', 1) -- refused where the memory is full
redis.call('PEXPIRE', KEYS[1], 3600000)
tell()
return {REPLICATION_ID, 'done'}
