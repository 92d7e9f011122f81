-- Rule 1: 'yes' with the session's fields and the role, 'ended', or 'ask'. The secret is the caller's to compare.
local function alive(now, min_position)
  local s = redis.call('HMGET', KEYS[1], 'x', 'g', 'q', 'h', 'e', 'a', 't', 'i', 'k', 'm', 'c', 'p', 'd', 'n', 'o', 'z')
  if s[1] then return 'ended' end
  local u = redis.call('HMGET', KEYS[2], 'g', 'q', 'e', 's', 'r')
  if s[2] == REPLICATION_ID and tonumber(s[3]) >= min_position
      and u[1] == REPLICATION_ID and tonumber(u[2]) >= min_position
      and s[5] == u[3] and u[4] == 'active'
      and now < tonumber(s[6]) and now < tonumber(s[7]) + tonumber(s[8]) then
    return 'yes', s, u[5]
  end
  return 'ask'
end

local function touch(s, now)
  redis.call('HSET', KEYS[1], 't', now)
  local ttl = math.min(tonumber(s[8]), tonumber(s[6]) - now) + 60000
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', KEYS[2], ttl, 'GT')
end

-- Rule 2: whoever asks SQL may install what it read only while its fill token stands. The time makes another fill token
-- of each run: a copy of this request that arrives late, after a writer has taken the fill token away, must not leave
-- it again.
local function fill_token(key, random)
  local m = redis.call('HMGET', key, 'w', 'y')
  if m[1] and m[2] == REPLICATION_ID then return m[1] end
  local time = redis.call('TIME')
  local new = random .. time[1] .. '.' .. time[2]
  redis.call('HSET', key, 'w', new, 'y', REPLICATION_ID)
  if redis.call('PTTL', key) < 60000 then redis.call('PEXPIRE', key, 60000) end
  return new
end
