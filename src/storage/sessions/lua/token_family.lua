-- ARGV: now, lowest feed position that is believed
-- Where the session's refresh tokens stand. Nothing is written, not even a fill token: the token may be forged.
local word, s, role = alive(tonumber(ARGV[1]), tonumber(ARGV[2]))
if word ~= 'yes' then return {REPLICATION_ID, word} end
if not s[13] then return {REPLICATION_ID, 'none'} end
return {REPLICATION_ID, 'yes', role, s[9], s[10], s[11], s[12], s[6], s[13], s[14], s[15], s[8], s[7]}
