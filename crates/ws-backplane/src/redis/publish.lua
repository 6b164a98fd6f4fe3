-- ARGV: 3 how long the topic is known, 4 the channel, 5 the message, 6 how many are kept, 7 how long,
-- 8 who published, 9 how long the key is known. KEYS: 3 the key.
if KEYS[3] then
  local known = redis.call('GET', KEYS[3])
  if known then return known end
end
o = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'o', 1))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if ARGV[6] == '0' then
  redis.call('DEL', KEYS[2])
else
  redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[6], o .. '-1', ARGV[8], ARGV[5])
  redis.call('PEXPIRE', KEYS[2], ARGV[7])
end
redis.call('PUBLISH', ARGV[4], 'm' .. e .. ':' .. o .. ':' .. ARGV[8] .. ':' .. ARGV[5])
local position = e .. '-' .. o
if KEYS[3] then redis.call('SET', KEYS[3], position, 'PX', ARGV[9]) end
return position
