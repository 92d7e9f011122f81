-- Everything that the other scripts do, once, on keys of its own; nothing of it stays. What fails is told with its step.
local steps = {
  {'read', 'TIME'}, {'read', 'HMGET', KEYS[1], 'g', 'q'}, {'read', 'HGET', KEYS[2], 'g'}, {'read', 'PTTL', KEYS[2]},
  {'write', 'HSET', KEYS[1], 't', ARGV[1]}, {'write', 'PEXPIRE', KEYS[1], 60000},
  {'write', 'HSET', KEYS[2], 't', ARGV[1]}, {'write', 'PEXPIRE', KEYS[2], 60000, 'GT'},
  {'delete', 'DEL', KEYS[1]}, {'delete', 'DEL', KEYS[2]},
}
for _, step in ipairs(steps) do
  local answer = redis.pcall(unpack(step, 2))
  if type(answer) == 'table' and answer.err then return redis.error_reply(answer.err .. ' (' .. step[1] .. ')') end
end
return {REPLICATION_ID, 'done'}
