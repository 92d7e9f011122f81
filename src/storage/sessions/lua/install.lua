-- ARGV: replication id under which the fill tokens were left, session's fill token, user's fill token, TTL in ms, how
-- many of the rest are the session's fields and values, then these and the user's
if ARGV[1] ~= REPLICATION_ID then return {REPLICATION_ID, 'refused'} end
local function install(key, fill_token, first, last)
  local left = read(key, {'w', 'y', 'n', 'o', 'z'})
  if left.w ~= fill_token or left.y ~= REPLICATION_ID then return end
  redis.call('DEL', key)
  redis.call('HSET', key, 'g', REPLICATION_ID, unpack(ARGV, first, last))
  -- SQL learns the refresh counter a minute late. One that is still here is right unless SQL has a greater one.
  if left.n and tonumber(left.n) >= tonumber(redis.call('HGET', key, 'n') or 0) then
    redis.call('HSET', key, 'n', left.n, 'o', left.o, 'z', left.z)
  end
  redis.call('PEXPIRE', key, ARGV[4])
end
local fields = tonumber(ARGV[5])
install(KEYS[1], ARGV[2], 6, 5 + fields)
install(KEYS[2], ARGV[3], 6 + fields, #ARGV)
return {REPLICATION_ID, 'done'}
