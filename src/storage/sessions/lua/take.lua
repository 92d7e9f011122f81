-- KEYS[1]: whose quota it is. ARGV: now, the window in ms, how many attempts it has
-- The generic cell rate algorithm: of each attempt only when the quota is whole again is kept. A repeat counts once more,
-- which nobody gains by. Answers how many are left, and the ms until there is one more.
local now, window, count = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local interval = window / count
local whole_at = tonumber(redis.call('HGET', KEYS[1], 'f') or now)
-- What was spent, in ms. No more than all: another node's clock may be ahead.
local spent = math.min(math.max(whole_at - now, 0), window) + interval
local function answer(word, left, wait)
  return {REPLICATION_ID, word, string.format('%d', left), string.format('%d', math.ceil(wait))}
end
-- A hundredth, for the interval need not be a number that a double has.
if spent > window + 0.01 then return answer('refused', 0, spent - window) end
redis.call('HSET', KEYS[1], 'f', string.format('%.17g', now + spent))
redis.call('PEXPIRE', KEYS[1], math.ceil(spent))
local left = math.floor((window - spent + 0.01) / interval)
return answer('taken', left, (left + 1) * interval - (window - spent))
