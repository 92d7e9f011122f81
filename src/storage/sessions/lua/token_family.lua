-- ARGV: now, lowest feed position that is believed
-- Where the session's refresh tokens stand. Nothing is written, not even a fill token: the token may be forged.
local word, s, u = alive(tonumber(ARGV[1]), tonumber(ARGV[2]))
if word ~= 'yes' then return {REPLICATION_ID, word} end
if not s.d then return {REPLICATION_ID, 'none'} end
return told(s, u, LIVE, IDLE, FAMILY)
