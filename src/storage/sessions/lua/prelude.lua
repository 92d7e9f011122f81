-- In front of every script, after the names of `redis/copy.rs`, which says what the fields are. KEYS[1]: the session's key,
-- KEYS[2]: its user's key; both in the user's slot; `take.lua` alone has another.
-- The replication id is the id of this server's history, new after every restart and every promotion.
local info = redis.call('INFO', 'replication')
-- A replica would take no write, but tell what it has: a lagging copy.
if not string.find(info, 'role:master', 1, true) then return redis.error_reply('READONLY this is a replica') end
local at = string.find(info, 'master_replid:', 1, true)
local REPLICATION_ID = string.sub(info, at + 14, at + 29)

-- The fields of a copy by name; one that it hasn't is false.
local function read(key, names)
  local values, fields = redis.call('HMGET', key, unpack(names)), {}
  for i, name in ipairs(names) do fields[name] = values[i] end
  return fields
end
