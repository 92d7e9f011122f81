-- ARGV: now, lowest feed position that is believed, a random fill token, number of the token (its MAC is right), grace
-- in ms, a random word that this use of the token has for itself
-- `domain::refresh_token` judges the same. Ends nothing: rule 7.
local now, n = tonumber(ARGV[1]), tonumber(ARGV[4])
local word, s = alive(now, tonumber(ARGV[2]))
if word == 'ended' then return {REPLICATION_ID, 'ended'} end
if word == 'ask' or not s.n then return ask(ARGV[3]) end
local present = tonumber(s.n)
if n >= present then
  redis.call('HSET', KEYS[1], 'n', n + 1, 'o', ARGV[1], 'z', ARGV[6])
elseif n < present - 1 or (s.z ~= ARGV[6] and now - tonumber(s.o) >= tonumber(ARGV[5])) then
  return {REPLICATION_ID, 'reused'}
end
touch(s, now)
return {REPLICATION_ID, 'rotated'}
