redis.call('DEL', KEYS[2])
local s = redis.call('HMGET', KEYS[1], 'x', 'n', 'o', 'z')
if s[1] then return {REPLICATION_ID, 'done'} end
redis.call('DEL', KEYS[1])
-- SQL may not know the refresh counter yet; the next install finds it here, unless the memory is full.
if s[2] then
  redis.pcall('HSET', KEYS[1], 'n', s[2], 'o', s[3], 'z', s[4])
  redis.call('PEXPIRE', KEYS[1], 3600000)
end
return {REPLICATION_ID, 'done'}
