-- ARGV: epoch, now, "acquire", name, owner, ttl -> {token, expires}, or nil while another owner's lease holds;
-- "release", name, owner, token -> nil.
if not begin(ARGV[1], ARGV[2]) then return gone() end
local key, owner = root .. 'l:' .. ARGV[4], ARGV[5]
local held = call('HMGET', key, 'owner', 'token', 'expires', 'ttl')
if ARGV[3] == 'release' then
  if held[1] == owner and held[2] == ARGV[6] then call('DEL', key) end
  return false
end
local ttl, token = tonumber(ARGV[6]), held[2]
if held[1] ~= owner then
  local left = held[1] and tonumber(held[3]) - now or 0
  if left > 0 and left <= tonumber(held[4]) then return false end
  token = int(call('HINCRBY', KEYS[1], 'tokens', 1))
end
call('HSET', key, 'owner', owner, 'token', token, 'expires', int(now + ttl), 'ttl', int(ttl))
return {token, int(now + ttl)}
