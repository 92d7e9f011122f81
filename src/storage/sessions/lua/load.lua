-- ARGV: now, hash of the secret (empty: the caller proved otherwise whose session it is), lowest feed position that is
-- believed, a random mark, milliseconds between touches
local now, floor = tonumber(ARGV[1]), tonumber(ARGV[3])
local s = redis.call('HMGET', KEYS[1], 'x', 'g', 'q', 'h', 'e', 'a', 't', 'i', 'k', 'm', 'c', 'p')
if s[1] then return {STAMP, 'ended'} end
local u = redis.call('HMGET', KEYS[2], 'g', 'q', 'e', 's', 'r')
if s[2] == STAMP and u[1] == STAMP and tonumber(s[3]) >= floor and tonumber(u[2]) >= floor
    and (ARGV[2] == '' or s[4] == ARGV[2]) and s[5] == u[3] and u[4] == 'active'
    and now < tonumber(s[6]) and now < tonumber(s[7]) + tonumber(s[8]) then
  local touched = '0'
  if now - tonumber(s[7]) >= tonumber(ARGV[5]) then
    touched = '1'
    redis.call('HSET', KEYS[1], 't', ARGV[1])
    local ttl = math.min(tonumber(s[8]), tonumber(s[6]) - now) + 60000
    redis.call('PEXPIRE', KEYS[1], ttl)
    redis.call('PEXPIRE', KEYS[2], ttl, 'GT')
  end
  return {STAMP, 'yes', touched, u[5], s[9], s[10], s[11], s[12], s[6]}
end
-- Redis says nothing else: whoever asks reads SQL, and may install what it read only while its mark stands.
local function mark(key)
  local m = redis.call('HMGET', key, 'w', 'y')
  if m[1] and m[2] == STAMP then return m[1] end
  redis.call('HSET', key, 'w', ARGV[4], 'y', STAMP)
  if redis.call('PTTL', key) < 60000 then redis.call('PEXPIRE', key, 60000) end
  return ARGV[4]
end
return {STAMP, 'ask', mark(KEYS[1]), mark(KEYS[2])}
