-- Only after SQL's commit. The tombstone answers at once what SQL would; losing it loses nothing.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'x', 1)
redis.call('PEXPIRE', KEYS[1], 3600000)
return {STAMP, 'done'}
