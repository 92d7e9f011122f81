-- ARGV: now, hash of the secret (empty: the caller proved otherwise whose session it is), lowest feed position that is
-- believed, a random fill token, milliseconds between touches
local now = tonumber(ARGV[1])
local word, s, u = alive(now, tonumber(ARGV[3]))
if word == 'ended' then return {REPLICATION_ID, 'ended'} end
if word == 'yes' and (ARGV[2] == '' or s.h == ARGV[2]) then
  local answer = told(s, u, LIVE, IDLE)
  local is_due = now - tonumber(s.t) >= tonumber(ARGV[5])
  if is_due then touch(s, now) end
  table.insert(answer, 'touched')
  table.insert(answer, is_due and '1' or '0')
  return answer
end
return ask(ARGV[4])
