-- In front of every script. KEYS[1]: the session's key, KEYS[2]: its user's key; both in the user's slot.
-- The replication id is the id of this server's history, new after every restart and every promotion.
-- Session copy: h hash of the secret, e epoch, k kind, m remember, c created, p password entered, i idle ms, a absolute
-- limit, t last active; of kind api also d refresh seed, n number of the present refresh token, o when it became that,
-- z the word of the use that made it so; or x: a tombstone. User copy: v rev, e epoch, r role, s status.
-- Both: g replication id and q feed position of the reading; w and y: a load's fill token and the replication id under
-- which it was left.
local info = redis.call('INFO', 'replication')
-- A replica would take no write, but tell what it has: a lagging copy.
if not string.find(info, 'role:master', 1, true) then return redis.error_reply('READONLY this is a replica') end
local at = string.find(info, 'master_replid:', 1, true)
local REPLICATION_ID = string.sub(info, at + 14, at + 29)
