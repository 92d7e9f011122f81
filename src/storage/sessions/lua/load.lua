-- ARGV: now, hash of the secret (empty: the caller proved otherwise whose session it is), lowest feed position that is
-- believed, a random fill token, milliseconds between touches
local now = tonumber(ARGV[1])
local word, s, role = alive(now, tonumber(ARGV[3]))
if word == 'ended' then return {REPLICATION_ID, 'ended'} end
if word == 'yes' and (ARGV[2] == '' or s[4] == ARGV[2]) then
  local touched = '0'
  if now - tonumber(s[7]) >= tonumber(ARGV[5]) then
    touched = '1'
    touch(s, now)
  end
  return {REPLICATION_ID, 'yes', touched, role, s[9], s[10], s[11], s[12], s[6]}
end
return {REPLICATION_ID, 'ask', fill_token(KEYS[1], ARGV[4]), fill_token(KEYS[2], ARGV[4])}
