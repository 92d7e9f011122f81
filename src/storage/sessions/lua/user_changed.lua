-- Copy and fill token go together: a load that read SQL before the change can't install what it read.
redis.call('DEL', KEYS[2])
tell()
return {REPLICATION_ID, 'done'}
