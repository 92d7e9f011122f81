redis.call('DEL', KEYS[2])
if redis.call('HEXISTS', KEYS[1], 'x') == 0 then redis.call('DEL', KEYS[1]) end
return {STAMP, 'done'}
