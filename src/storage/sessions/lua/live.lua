-- Rule 1: 'yes' with the session's fields and the user's, 'ended', or 'ask'. The secret is the caller's to compare.
-- `Snapshot::is_live` says the same of rows.
local function alive(now, min_position)
  local s = read(KEYS[1], ASKED)
  if s.x then return 'ended' end
  local u = read(KEYS[2], ASKED_OF_USER)
  if s.g == REPLICATION_ID and tonumber(s.q) >= min_position
      and u.g == REPLICATION_ID and tonumber(u.q) >= min_position
      and s.e == u.e and u.s == 'active'
      and now < tonumber(s.a) and now < tonumber(s.t) + tonumber(s.i) then
    return 'yes', s, u
  end
  return 'ask'
end

-- 'yes', and by name what is asked for of a session that lives.
local function told(s, u, ...)
  local answer = {REPLICATION_ID, 'yes', 'r', u.r}
  for _, names in ipairs({...}) do
    for _, name in ipairs(names) do
      table.insert(answer, name)
      table.insert(answer, s[name])
    end
  end
  return answer
end

local function touch(s, now)
  redis.call('HSET', KEYS[1], 't', now)
  local ttl = math.min(tonumber(s.i), tonumber(s.a) - now) + 60000
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', KEYS[2], ttl, 'GT')
end

-- Rule 2: whoever asks SQL may install what it read only while its fill token stands. The time makes another fill token
-- of each run: a copy of this request that arrives late, after a writer has taken the fill token away, must not leave
-- it again.
local function fill_token(key, random)
  local left = read(key, {'w', 'y'})
  if left.w and left.y == REPLICATION_ID then return left.w end
  local time = redis.call('TIME')
  local new = random .. time[1] .. '.' .. time[2]
  redis.call('HSET', key, 'w', new, 'y', REPLICATION_ID)
  if redis.call('PTTL', key) < 60000 then redis.call('PEXPIRE', key, 60000) end
  return new
end

local function ask(random)
  return {REPLICATION_ID, 'ask', 'session', fill_token(KEYS[1], random), 'user', fill_token(KEYS[2], random)}
end
