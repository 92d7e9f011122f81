redis.call('DEL', KEYS[2])
tell() -- nobody reads what is left before this script ends
local s = read(KEYS[1], {'x', 'n', 'o', 'z'})
if s.x then return {REPLICATION_ID, 'done'} end
redis.call('DEL', KEYS[1])
-- SQL may not know the refresh counter yet; the next install finds it here, unless the memory is full.
if s.n then
  redis.pcall('HSET', KEYS[1], 'n', s.n, 'o', s.o, 'z', s.z)
  redis.call('PEXPIRE', KEYS[1], 3600000)
end
return {REPLICATION_ID, 'done'}
