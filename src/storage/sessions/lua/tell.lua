-- What was taken away is told to every node that listens (`redis/channel.rs`), where the caller says so with ARGV[1]: the
-- feed's readers don't. What one may not publish, the others find in the feed.
local function tell()
  if not ARGV[1] then return end
  local prefix, user = string.match(KEYS[2], '^(.*):{(.*)}:u$')
  redis.pcall('PUBLISH', prefix .. ':changes', user)
end
