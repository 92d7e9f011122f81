-- ARGV: replication id under which the fill tokens were left, session's fill token, user's fill token, TTL in ms, how
-- many of the rest are the session's fields and values, then these and the user's
if ARGV[1] ~= REPLICATION_ID then return {REPLICATION_ID, 'refused'} end
local function install(key, fill_token, first, last)
  local m = redis.call('HMGET', key, 'w', 'y', 'n', 'o', 'z')
  if m[1] ~= fill_token or m[2] ~= REPLICATION_ID then return end
  redis.call('DEL', key)
  redis.call('HSET', key, 'g', REPLICATION_ID, unpack(ARGV, first, last))
  -- SQL learns the refresh counter a minute late. One that is still here is right unless SQL has a greater one.
  if m[3] and tonumber(m[3]) >= tonumber(redis.call('HGET', key, 'n') or 0) then
    redis.call('HSET', key, 'n', m[3], 'o', m[4], 'z', m[5])
  end
  redis.call('PEXPIRE', key, ARGV[4])
end
local fields = tonumber(ARGV[5])
install(KEYS[1], ARGV[2], 6, 5 + fields)
install(KEYS[2], ARGV[3], 6 + fields, #ARGV)
return {REPLICATION_ID, 'done'}
